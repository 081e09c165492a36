"""Attribution maps, their faithfulness, and explanations by face region, concept and training example.

`explain.explain`, `explain.list_methods`, `explain.method_applicability`, `methods.register_method`,
`explanation.explain_face`, `explanation.Explanation`, `faithfulness.faithfulness_correlation`,
`faithfulness.infidelity_score`, `faithfulness.deletion_insertion_curves`, `faithfulness.randomize_parameters`,
`face_regions.region_shares`, `confusion_pairs.explain_pair`, `benchmark.run_benchmark`.
"""
