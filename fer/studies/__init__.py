"""The reports' experiments, repeated: one file a study.

- ``run_study``, ``study_config`` (`run`); ``register_study``, ``STUDIES`` (`registry`)
- ``StudyConfig``, ``train_or_load``, ``train_seeds`` (`runner`); ``Result``, ``write_results`` (`results`)
- ``PUBLIC``, ``REPORTS`` (`published_results`)
"""
