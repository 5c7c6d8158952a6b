#include "report/page_parts.h"

#include <fmt/format.h>

#include "report/svg_axis.h"

namespace sotto::report {

std::string page_start(const std::string& title, const std::string& style) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';img-src data:;style-src "
      "'unsafe-inline'\">\n<title>Sotto: {0}</title>\n<style>{1}</style></head>\n<body>\n<h1>{0}</h1>\n",
      safe(title), style);
}

std::string page_end(const std::string& written_by) {
  return fmt::format("<footer>Written by {}.</footer>\n</body></html>\n", safe(written_by));
}

std::string tile(const std::string& name, const std::string& value, const std::string& note) {
  return fmt::format(
      "<div class=\"tile\"><div class=\"name\">{}</div><div class=\"value\">{}</div><div "
      "class=\"note\">{}</div></div>\n",
      safe(name), safe(value), safe(note));
}

std::string section(const std::string& title, const std::string& text, const std::string& content) {
  return fmt::format("<section><h2>{}</h2>\n<p>{}</p>\n<div class=\"wide\">{}</div></section>\n", safe(title),
                     safe(text), content);
}

std::string facts(const std::vector<std::pair<std::string, std::string>>& rows) {
  std::string out = "<table class=\"facts\">\n";
  for (const auto& [name, value] : rows)
    out += fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", safe(name), safe(value));
  return out + "</table>\n";
}

}  // namespace sotto::report
