"""The steps as functions of folders: each reads what an earlier one wrote, and writes a manifest.

One file a step; a verb of the command line is one call here. Nothing here prints.
"""
