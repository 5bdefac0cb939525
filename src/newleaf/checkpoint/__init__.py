"""A directory to trust: everything training needs to go on, hashed, renamed into place, verified before it is used."""
