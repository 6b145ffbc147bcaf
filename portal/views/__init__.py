"""The pages: the way in, the citizen's, the counters', the fund's."""
