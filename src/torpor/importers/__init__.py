"""Other managers' files become a torpor.yaml, and nothing of them is lost without a word.

Laws:

1. A setting is carried over, needs no words because Torpor does the same anyway, or is named in a comment
   with the reason.  `Claims` keeps the books; what no importer spoke for is told by itself.
2. What is written is valid: an entry that cannot run as it stands comes out as a comment.
3. Nothing here talks to a daemon or changes a file.  Only the JavaScript of PM2 is executed, since nothing else
   could read it.
"""
