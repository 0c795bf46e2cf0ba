# Instruction sets: a source named *_<isa>.cpp is compiled with that ISA's flags and with no others. One row an ISA, by the names of
# backend/cpu/isa.h (tests/house/isa_list_test.py compares).
set(RAFTER_ISAS "")
macro(rafter_isa name)
  list(APPEND RAFTER_ISAS ${name})
  set(RAFTER_ISA_FLAGS_${name} ${ARGN})
endmacro()
# Without reassociation: g++ would turn a chain of integer additions into a tree that keeps every product in a register of its own.
set(as_written $<$<CXX_COMPILER_ID:GNU>:-fno-tree-reassoc> $<$<CXX_COMPILER_ID:GNU>:-fno-tree-ter>)
rafter_isa(scalar)
rafter_isa(avx2 -mavx2 -mfma -mf16c -mbmi2 ${as_written})
# g++ 12 warns of its own intrinsics' undefined values: https://gcc.gnu.org/bugzilla/show_bug.cgi?id=105593
set(avx512 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mavx2 -mfma -mf16c -mbmi2 -mprefer-vector-width=512
    ${as_written} -Wno-uninitialized $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
rafter_isa(avx512 ${avx512})
rafter_isa(amx ${avx512})  # tile instructions are assembly of our own (backend/cpu/tiles_amx.h), which needs no flags

# Kernels are unrolled into very large functions. There, address checks are calls, and undefined behaviour is looked for where it is not a
# matter of each load: a minute a file instead of seven.
set(RAFTER_ISA_SANITIZE_FLAGS "")
if(RAFTER_SANITIZE MATCHES "address" AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  set(RAFTER_ISA_SANITIZE_FLAGS -fno-sanitize=alignment,bounds,null,object-size,pointer-overflow,fuzzer-no-link
      -fno-sanitize-address-use-after-scope -mllvm -asan-instrumentation-with-call-threshold=0)
endif()

function(rafter_set_isa_flags sources)
  foreach(isa ${RAFTER_ISAS})
    foreach(source ${sources})
      if(source MATCHES "_${isa}\\.cpp$")
        set_source_files_properties("${source}" PROPERTIES SKIP_PRECOMPILE_HEADERS ON SKIP_UNITY_BUILD_INCLUSION ON)
        set_source_files_properties("${source}" PROPERTIES COMPILE_OPTIONS "${RAFTER_ISA_FLAGS_${isa}};${RAFTER_ISA_SANITIZE_FLAGS}")
      endif()
    endforeach()
  endforeach()
endfunction()
