"""Recurrent layers of several libraries, measured side by side in one process."""
