/* Stands in for libgupnp-igd, by which libnice asks a router for a port: says that there is no such thing. */
#include <stddef.h>

size_t gupnp_simple_igd_get_type(void) { return 0; }
void *gupnp_simple_igd_thread_new(void) { return NULL; }
void gupnp_simple_igd_add_port(void) {}
void gupnp_simple_igd_remove_port_local(void) {}
