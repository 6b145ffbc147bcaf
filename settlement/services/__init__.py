"""What may be done: every function here opens no transaction of its own unless it says so, decides
everything first, and only then writes."""
