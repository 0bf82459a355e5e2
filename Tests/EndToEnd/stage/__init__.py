"""What the end-to-end tests add to the harness of `Interop`: processes that are killed and come back, loads, bare
HTTP/2, and a look at what lies on the disk."""
