// brenier.hpp needs nothing before it and may come twice.
#include "brenier.hpp"
#include "brenier.hpp"

brenier::Model open(const char* path) { return brenier::Engine().open(path); }
