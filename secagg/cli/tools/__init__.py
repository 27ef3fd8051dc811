"""Commands for whoever checks or measures an implementation."""
