#!/bin/sh
# The suite calls this before a build. Sotto uses no other library for encryption: nothing is to be done.
