"""What a server tells the people who run it: logs, metrics and traces, hung onto a host's hooks.

Names, numbers and reasons only. No hook of a host gets a message, a key or a vector, so none can be written here.
"""
