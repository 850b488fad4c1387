"""Saving and loading deltas: one file a format. No pickled code is ever run."""

from deltanb.checkpoints._declared import declare_again
from deltanb.checkpoints._files import is_temporary
from deltanb.checkpoints._folders import saved_folders
from deltanb.checkpoints._load import load, read, read_config, transplant
from deltanb.checkpoints._save import save
from deltanb.checkpoints._saved import Saved
from deltanb.checkpoints._size import FileSize

__all__ = ["FileSize", "Saved", "declare_again", "is_temporary", "load", "read", "read_config", "save", "saved_folders", "transplant"]
