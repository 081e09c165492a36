"""FER-2013, FER+ and users' own faces; preprocessing and augmentation.

- ``load_fer2013``, ``get_splits`` (`fer2013`); ``FaceDataset`` (`dataset`); ``mark_duplicates`` (`duplicates`)
- ``EMOTIONS`` (`labels`); ``FERPLUS``, ``majority_vote`` (`ferplus`)
- ``read_labelled`` (`image_folder`), ``read`` (`zip_dataset`), ``open_image`` (`image_io`), ``crop_square`` (`crop`)
- ``Augmentation``, ``augment`` (`transforms`); ``degrade`` (`degradations`)
"""
