# rafter::xgrammar: XGrammar (https://github.com/mlc-ai/xgrammar) as an imported static library, built once for all build folders.
set(RAFTER_XGRAMMAR "${PROJECT_SOURCE_DIR}/build/xgrammar-0.2.9" CACHE PATH "XGrammar's lib/libxgrammar.a and include/ (scripts/build_xgrammar makes them)")
if(NOT EXISTS "${RAFTER_XGRAMMAR}/lib/libxgrammar.a")
  execute_process(COMMAND "${PROJECT_SOURCE_DIR}/scripts/build_xgrammar" "${RAFTER_XGRAMMAR}" RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "${RAFTER_XGRAMMAR}: no lib/libxgrammar.a, and scripts/build_xgrammar could not make it")
  endif()
endif()
add_library(rafter::xgrammar STATIC IMPORTED GLOBAL)
set_target_properties(rafter::xgrammar PROPERTIES IMPORTED_LOCATION "${RAFTER_XGRAMMAR}/lib/libxgrammar.a"
                                                  INTERFACE_INCLUDE_DIRECTORIES "${RAFTER_XGRAMMAR}/include"
                                                  INTERFACE_LINK_LIBRARIES Threads::Threads)
