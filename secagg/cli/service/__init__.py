"""Commands of the network service: the server, its clients and its operator."""
