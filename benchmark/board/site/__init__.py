"""Records to a folder of web pages that open from disk: no server and no network."""
