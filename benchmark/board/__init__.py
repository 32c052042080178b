"""Records to a leaderboard: `leaderboard.render` tells the story, the other modules are its parts.

Everything here is made from records alone: no model, no data set and no torch is imported, and the same records give
the same bytes whatever their order on disk, the folder they lie in and the day.
"""
