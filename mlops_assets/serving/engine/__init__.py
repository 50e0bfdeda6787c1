"""The models behind the gateway: a process for each served version, and who is answered by which."""
