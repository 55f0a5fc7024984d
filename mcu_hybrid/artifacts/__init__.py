"""What the steps hand on: a frozen dataclass for each file and each manifest's facts.

A field's name is the key in the JSON (a last underscore is left out: ``global_`` is "global"), so
a renamed key is an error of mypy wherever it is read. ``codec`` writes and reads them, ``store``
finds them in a step's folder. Only plain data is here: nothing is computed, no room above is known.

A field with a default may be missing in a file: folders of earlier versions lack it.
"""
