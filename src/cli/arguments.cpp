#include <iostream>

#include "cli/commands.hpp"

namespace outlay::cli {

bool read_tags(const std::vector<std::string>& given, Tags& tags) {
  for (const std::string& tag : given) {
    const std::size_t equals = tag.find('=');
    if (equals == 0 || equals == std::string::npos) {
      std::cerr << "outlay: --tag: \"" << printable(tag) << "\" is not a tag. Write key=value.\n";
      return false;
    }
    tags.set(std::string_view(tag).substr(0, equals), std::string_view(tag).substr(equals + 1));
  }
  return true;
}

}  // namespace outlay::cli
