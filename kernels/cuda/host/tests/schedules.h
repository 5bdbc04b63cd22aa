// The schedules that every pipeline must stand: each kind of asynchronous action at either extreme and
// at random, and another order of threads each time.
#pragma once
#include <string>
#include <vector>

#include "../launch.h"

inline std::vector<std::string> all_schedules() {
	std::vector<std::string> schedules;
	for (const char *kind : {"late", "early", "early-copies", "late-copies", "random"})
		for (int i = 0; i < 3; i++) schedules.push_back(std::string(kind) + ":" + std::to_string(schedules.size() + 1));
	return schedules;
}

inline brenier::host::Options options_of(const std::string &schedule, int capability) {
	brenier::host::Options options;
	brenier::host::Schedule::parse(schedule.c_str(), &options.schedule);
	options.rounding = brenier::host::Rounding::modelled;
	options.capability = capability;
	return options;
}
