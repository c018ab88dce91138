"""The GIL: how long threads waited for it, who held it meanwhile, and how it passed from one to the next."""
