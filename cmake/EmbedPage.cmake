# The web page inside the program. Included, it has rafter_embed_page(); run with -P, as the build does when a part of the page changed, it
# writes the source that holds the joined page. Joining needs CMake alone.
#
#   index.html has one line that is /*STYLE*/ and one that is /*SCRIPT*/: the style sheets and the scripts take their places, in the order given.
#   The policy allows these two texts by their SHA-256 and nothing else, so that no markup from elsewhere can run or fetch anything.

# rafter_embed_page(TARGET HTML index.html STYLES a.css... SCRIPTS a.js...)
function(rafter_embed_page target)
  cmake_parse_arguments(ARG "" "HTML" "STYLES;SCRIPTS" ${ARGN})
  set(output "${CMAKE_CURRENT_BINARY_DIR}/page_text.cpp")
  set(this_file "${PROJECT_SOURCE_DIR}/cmake/EmbedPage.cmake")
  list(JOIN ARG_STYLES "|" styles)
  list(JOIN ARG_SCRIPTS "|" scripts)
  add_custom_command(
    OUTPUT "${output}"
    COMMAND "${CMAKE_COMMAND}" "-DHTML=${ARG_HTML}" "-DSTYLES=${styles}" "-DSCRIPTS=${scripts}" "-DOUTPUT=${output}" -P "${this_file}"
    DEPENDS "${ARG_HTML}" ${ARG_STYLES} ${ARG_SCRIPTS} "${this_file}"
    COMMENT "Joining the web page"
    VERBATIM)
  target_sources(${target} PRIVATE "${output}")
  set_source_files_properties("${output}" PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
endfunction()

# joined(RESULT FILE...): the files' texts, one after the other.
function(joined result)
  set(all "")
  foreach(file ${ARGN})
    file(READ "${file}" text)
    string(APPEND all "${text}")
  endforeach()
  set(${result} "${all}" PARENT_SCOPE)
endfunction()

# base64_of_sha256(RESULT TEXT): as a Content-Security-Policy writes a hash. 64 hexadecimal digits are 10 groups of 6, which are 4 letters
# each, and 4 digits that are 3 letters and a '='.
function(base64_of_sha256 result text)
  set(letters "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
  string(SHA256 digits "${text}")
  string(APPEND digits "00")
  set(encoded "")
  foreach(start RANGE 0 60 6)
    string(SUBSTRING "${digits}" ${start} 6 group)
    foreach(shift 18 12 6 0)
      math(EXPR index "(0x${group} >> ${shift}) & 63")
      string(SUBSTRING "${letters}" ${index} 1 letter)
      string(APPEND encoded "${letter}")
    endforeach()
  endforeach()
  string(SUBSTRING "${encoded}" 0 43 encoded)
  set(${result} "${encoded}=" PARENT_SCOPE)
endfunction()

# replaced_once(RESULT PAGE MARK TEXT): fails unless the mark stands in the page exactly once.
function(replaced_once result page mark text)
  string(FIND "${page}" "${mark}" first)
  string(FIND "${page}" "${mark}" last REVERSE)
  if(first EQUAL -1 OR NOT first EQUAL last)
    message(FATAL_ERROR "${HTML}: expected the mark ${mark} exactly once")
  endif()
  string(REPLACE "${mark}" "${text}" page "${page}")
  set(${result} "${page}" PARENT_SCOPE)
endfunction()

if(NOT CMAKE_SCRIPT_MODE_FILE)
  return()
endif()
string(REPLACE "|" ";" STYLES "${STYLES}")
string(REPLACE "|" ";" SCRIPTS "${SCRIPTS}")
joined(page "${HTML}")
joined(style ${STYLES})
joined(script ${SCRIPTS})
foreach(part style script)
  if("${${part}}" MATCHES "</(style|script)")
    message(FATAL_ERROR "The page's ${part} has a closing tag in it, which would end it there")
  endif()
endforeach()
base64_of_sha256(style_hash "\n${style}")
base64_of_sha256(script_hash "\n${script}")
replaced_once(page "${page}" "/*STYLE*/\n" "${style}")
replaced_once(page "${page}" "/*SCRIPT*/\n" "${script}")
string(SHA256 page_hash "${page}")
string(SUBSTRING "${page_hash}" 0 16 etag)
if("${page}" MATCHES "\\)rafter\"")
  message(FATAL_ERROR "The page contains the text that ends a raw string")
endif()
set(policy "default-src 'none'; style-src 'sha256-${style_hash}'; script-src 'sha256-${script_hash}'; connect-src 'self'; img-src data:")
string(APPEND policy "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
file(WRITE "${OUTPUT}" "// Written by cmake/EmbedPage.cmake.
#include \"server/page/page.h\"

namespace rafter::server {

std::string_view page_policy() { return \"${policy}\"; }
std::string_view page_etag() { return \"\\\"${etag}\\\"\"; }
std::string_view page_html() {
    static constexpr std::string_view kPage = R\"rafter(${page})rafter\";
    return kPage;
}

}  // namespace rafter::server
")
