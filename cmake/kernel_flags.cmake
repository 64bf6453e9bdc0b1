# cmake/kernel_flags.cmake - instruction sets of the kernels; which of them runs is decided at run time
# (kernels/dispatch.cpp, crypto/sharing_dispatch.cpp).
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set_property(SOURCE "${CMAKE_SOURCE_DIR}/cpp/kernels/avx2.cpp" APPEND PROPERTY COMPILE_OPTIONS -mavx2 -mfma)
    set_property(
        SOURCE "${CMAKE_SOURCE_DIR}/cpp/kernels/avx512.cpp"
        APPEND
        PROPERTY COMPILE_OPTIONS -mfma -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni)
    set_property(SOURCE "${CMAKE_SOURCE_DIR}/cpp/crypto/sharing_avx2.cpp" APPEND PROPERTY COMPILE_OPTIONS -mavx2)
    set_property(SOURCE "${CMAKE_SOURCE_DIR}/cpp/crypto/sharing_gfni.cpp" APPEND PROPERTY COMPILE_OPTIONS -mavx2 -mgfni)
    set_property(SOURCE "${CMAKE_SOURCE_DIR}/cpp/crypto/sharing_gfni512.cpp" APPEND PROPERTY COMPILE_OPTIONS -mgfni -mavx512f -mavx512bw)
endif()
