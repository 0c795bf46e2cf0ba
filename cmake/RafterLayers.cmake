# What nearly every source includes is compiled once a library: the standard library's common headers and fmt.
function(rafter_precompile_headers target)
  target_precompile_headers(${target} PRIVATE <algorithm> <chrono> <cstdint> <filesystem> <functional> <memory> <optional> <span> <string>
                                              <string_view> <utility> <variant> <vector> <fmt/format.h> ${ARGN})
endfunction()

# Sixteen sources are compiled at a time, which more than halves the time: most of it goes to headers that sources share. Such sources must
# not name two things in unnamed namespaces alike (tests/house/unnamed_test.py). Who changes sources often may prefer them one at a time.
option(RAFTER_COMPILE_TOGETHER "Compile several sources of a layer at a time: faster from nothing, slower after a change" ON)
function(rafter_compile_together target)
  if(RAFTER_COMPILE_TOGETHER)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 16)
  endif()
endfunction()

# rafter_layer(NAME [DEPENDS LAYER...] [LINK TARGET...]): one static library from every source in src/NAME, linked with the layers it may see.
# A new source file needs no edit here: the folder is searched again at each build. RAFTER_LAYERS lists those with sources.
function(rafter_layer name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/${name}/*.cpp")
  list(TRANSFORM ARG_DEPENDS PREPEND rafter_)
  if(sources)
    add_library(rafter_${name} STATIC ${sources})
    target_include_directories(rafter_${name} PUBLIC "${PROJECT_SOURCE_DIR}/src")
    target_link_libraries(rafter_${name} PUBLIC ${ARG_DEPENDS} ${ARG_LINK})
    rafter_set_isa_flags("${sources}")
    rafter_precompile_headers(rafter_${name})
    set_property(GLOBAL APPEND PROPERTY RAFTER_LAYERS ${name})
    # Not base: a program that links librafter.a takes single files of it, and needs the line editor's library for none of them.
    if(name MATCHES "^(tensor|hardware|files|text|kv|model|roofline|backend|engine|planning|grammar|protocols|library|server)$")
      rafter_compile_together(rafter_${name})
    endif()
    if(RAFTER_FUZZERS AND name MATCHES "^(base|files|text|grammar|kv|model|protocols|server|engine)$")
      target_compile_options(rafter_${name} PRIVATE -fsanitize=fuzzer-no-link)  # what the fuzzers are to find their way through
    endif()
    if(RAFTER_SANITIZE AND name MATCHES "^(report|hardware|planning|protocols|server|library)$")
      target_compile_options(rafter_${name} PRIVATE -O0)  # half the time to compile, for code that takes no time to run
    endif()
  else()
    add_library(rafter_${name} INTERFACE)
    target_include_directories(rafter_${name} INTERFACE "${PROJECT_SOURCE_DIR}/src")
    target_link_libraries(rafter_${name} INTERFACE ${ARG_DEPENDS} ${ARG_LINK})
  endif()
endfunction()
