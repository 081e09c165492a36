"""Logits, metrics, calibration, stored predictions and comparisons of models.

- ``predict_logits``, ``ten_crop`` (`inference`); ``classification_metrics``, ``wilson_interval`` (`metrics`)
- ``fit_temperature``, ``fit_rejection_threshold``, ``calibrate_network`` (`calibration`)
- ``Predictions``, ``load_predictions``, ``evaluate`` (`predictions`); ``compare``, ``risk_coverage`` (`comparison`)
- ``corrupt``, ``robust_metrics`` (`corruptions`); ``select_ensemble`` (`ensemble_selection`)
"""
