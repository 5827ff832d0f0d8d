"""A stand-in for a cluster, so that the real `kubectl` can follow docs/deploy.md where none is to be had: an API server
in memory (`server`, `store`, `patches`, `kinds`) and, scripted, those who would work behind it (`world`).

It keeps what it is given, checks it against the schemas, and answers as kubectl expects. It does not admit, default,
authorize or schedule, and it has no pods to enter: `exec`, `cp`, `logs`, `port-forward` and `run --rm -it` need a real
one. What only a real API server can say is asked in test_api_server.py.
"""
