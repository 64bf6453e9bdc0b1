# cmake/python_module.cmake - the pybind11 module dvesp._native of cpp/bind/, as scikit-build-core installs it into the wheel.
set(PYBIND11_FINDPYTHON ON)
find_package(pybind11 3.0 CONFIG REQUIRED)

file(GLOB bind_sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/cpp/bind/*.cpp")
pybind11_add_module(_native NO_EXTRAS ${bind_sources})
target_link_libraries(_native PRIVATE dvesp_warnings dvesp_os)
target_compile_definitions(_native PRIVATE DVESP_VERSION="${PROJECT_VERSION}")
install(TARGETS _native LIBRARY DESTINATION dvesp)
install(FILES "${CMAKE_SOURCE_DIR}/programs/dvesp_root/dvesp_root.so" "${CMAKE_SOURCE_DIR}/programs/dvesp_root/dvesp_root.json"
    DESTINATION dvesp/programs)  # what `dvesp chain deploy` deploys

# What the wheel is made of: the module, and the node binary where cargo could build its part of it.
add_custom_target(dvesp_wheel DEPENDS _native)
if(TARGET dvesp-node)
    add_dependencies(dvesp_wheel dvesp-node)
    if(SKBUILD)
        install(TARGETS dvesp-node RUNTIME DESTINATION "${SKBUILD_SCRIPTS_DIR}")
    endif()
endif()
