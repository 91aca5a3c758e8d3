"""The link wing: the control socket, the watchdog, and the recording's file format."""
