# cmake/benchmarks.cmake - benchmarks/<name>_bench.cpp becomes the Google Benchmark program <name>_bench.
find_package(benchmark REQUIRED)
file(GLOB bench_sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/benchmarks/*_bench.cpp")
foreach(source IN LISTS bench_sources)
    get_filename_component(name "${source}" NAME_WE)
    add_executable(${name} "${source}")
    target_link_libraries(${name} PRIVATE dvesp_warnings dvesp_sim dvesp_os dvesp_crypto benchmark::benchmark benchmark::benchmark_main)
endforeach()
