# Text files inside the program. Included, it has rafter_embed_texts(); run with -P, as the build does when one of them changed, it writes the
# source that holds them: for each a function without arguments that returns its bytes.

# rafter_embed_texts(TARGET HEADER "apps/x.h" NAMESPACE rafter::apps TEXTS function=file ...)
function(rafter_embed_texts target)
  cmake_parse_arguments(ARG "" "HEADER;NAMESPACE" "TEXTS" ${ARGN})
  set(output "${CMAKE_CURRENT_BINARY_DIR}/embedded_texts.cpp")
  set(this_file "${PROJECT_SOURCE_DIR}/cmake/EmbedTexts.cmake")
  set(files "")
  foreach(pair ${ARG_TEXTS})
    string(REGEX REPLACE "^[^=]*=" "" file "${pair}")
    list(APPEND files "${file}")
  endforeach()
  list(JOIN ARG_TEXTS "|" texts)
  add_custom_command(
    OUTPUT "${output}"
    COMMAND "${CMAKE_COMMAND}" "-DHEADER=${ARG_HEADER}" "-DNAMESPACE=${ARG_NAMESPACE}" "-DTEXTS=${texts}" "-DOUTPUT=${output}" -P "${this_file}"
    DEPENDS ${files} "${this_file}"
    COMMENT "Embedding texts"
    VERBATIM)
  target_sources(${target} PRIVATE "${output}")
  set_source_files_properties("${output}" PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
endfunction()

if(NOT CMAKE_SCRIPT_MODE_FILE)
  return()
endif()
set(source "// Written by cmake/EmbedTexts.cmake.\n#include \"${HEADER}\"\n\nnamespace ${NAMESPACE} {\n\n")
string(REPLACE "|" ";" TEXTS "${TEXTS}")
foreach(pair ${TEXTS})
  string(REGEX REPLACE "=.*" "" name "${pair}")
  string(REGEX REPLACE "^[^=]*=" "" file "${pair}")
  file(READ "${file}" text)
  if("${text}" MATCHES "\\)rafter\"")
    message(FATAL_ERROR "${file} contains the text that ends a raw string")
  endif()
  string(APPEND source "std::string_view ${name}() {\n    return R\"rafter(${text})rafter\";\n}\n\n")
endforeach()
string(APPEND source "}  // namespace ${NAMESPACE}\n")
file(WRITE "${OUTPUT}" "${source}")
