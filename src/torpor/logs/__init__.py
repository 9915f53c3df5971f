"""What apps write: kept on disk byte for byte, rotated, found again.

A *stream* is what one descriptor of one instance has said since its first start.  On disk it is a
row of segments: `web.log` is being written, `web.log.000012` are the archives, numbered as they
came and never renumbered, perhaps with `.gz` or `.zst` behind.  Their contents one after the other
are the stream, and nothing else is in them: what Torpor knows of it (when it was written, where a
generation begins, what was lost) lies beside each in a hidden index, `.web.log.000012.idx`.

Laws:

1. A byte leaves the pipe in the step in which it reaches the file (splice), or after it.  So a
   daemon killed at any moment loses none; where bytes pass through our memory (time stamps, odd
   file systems) it may at worst write some twice.
2. A rotation is a rename.  Nothing is copied, nothing truncated, nothing renumbered: no moment
   exists at which the stream is not whole, and no reader's file changes under it.
3. An index is a help.  Without it, or with half of it, times are unknown; nothing fails.
4. While nobody listens, the bytes are not looked at.
5. A log that cannot be written stops nobody: what does not fit is counted, and marked when it
   can be written again.

`pipe` looks into pipes, `index` and `segments` are what lies on disk, `writer` puts it there;
`stamps` and `compress` are what an app may want besides.  `reader` finds it again, for the daemon
and for the command line alike, and `grep` searches it.  `forward` passes lines on to the system.

Why not `inotify` and files alone for who follows?  Because a viewer must also hear what a full disk
refuses.  Why no header in the segments?  Because `cat`, `grep` and `zcat` must find what the app wrote.
"""
