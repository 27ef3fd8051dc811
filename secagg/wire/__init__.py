"""Messages to bytes and back (protobuf), strictly. Knows nothing of session states."""
