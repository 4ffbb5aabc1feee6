// Trace: exit events with parent spans, and their log.
