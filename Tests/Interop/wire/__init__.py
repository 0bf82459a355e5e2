"""Stand-ins for other people's SPIFFE software, written from the message numbers alone.

`messages` compiles the protos beside it at run time; `tunnel` makes mutual TLS that knows SPIFFE IDs;
`spire_agent` plays a SPIRE agent; `admin` and `workload` speak to the two Unix sockets.
"""
