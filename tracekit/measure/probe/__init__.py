"""The wait probe: waits.c, a library that is preloaded into measured programs, and how it is compiled and found."""
