# Instruction sets: a source named *_<isa>.cpp is compiled with that ISA's flags and with no others. One row an ISA.
set(RAFTER_ISA_FLAGS_scalar "")
set(RAFTER_ISA_FLAGS_avx2 -mavx2 -mfma -mf16c -mbmi2)
# g++ 12 warns of its own intrinsics' undefined values: https://gcc.gnu.org/bugzilla/show_bug.cgi?id=105593
set(RAFTER_ISA_FLAGS_avx512 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mavx2 -mfma -mf16c -mbmi2 -mprefer-vector-width=512
    -Wno-uninitialized -Wno-maybe-uninitialized)

function(rafter_set_isa_flags sources)
  foreach(isa scalar avx2 avx512)
    foreach(source ${sources})
      if(source MATCHES "_${isa}\\.cpp$")
        set_source_files_properties("${source}" PROPERTIES COMPILE_OPTIONS "${RAFTER_ISA_FLAGS_${isa}}")
      endif()
    endforeach()
  endforeach()
endfunction()
