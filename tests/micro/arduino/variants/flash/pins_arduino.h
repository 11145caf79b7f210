// There are none.
