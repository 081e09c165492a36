"""Files, number formats, tables and threads.

- ``atomic_write``, ``load_npz`` (`io`); ``Artifact``, ``weights_digest`` (`artifacts`): files beside weights
- ``check_outputs``, ``one_writer`` (`outputs`): where a command may write
- ``autocast``, ``use_bf16`` (`precision`); ``one_thread`` (`threads`); ``markdown`` and CSV (`tables`)
"""
