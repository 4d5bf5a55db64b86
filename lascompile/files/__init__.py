"""Write a user's files and folders whole or not at all: beside their place, under another name, and then renamed.

A process that is killed leaves what was there before, or the new one, and perhaps a hidden `….part` beside it, which
the next writer of the same place removes. That its maker is gone is known from a lock, which the system takes back from
a process that dies.
"""

from lascompile.files.destination import check_file_place
from lascompile.files.exchange import exchange
from lascompile.files.room import check_room
from lascompile.files.whole_file import write_whole, writing
from lascompile.files.whole_folder import lost_folder, writing_folder

__all__ = ["check_file_place", "check_room", "exchange", "lost_folder", "write_whole", "writing", "writing_folder"]
