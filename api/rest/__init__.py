"""REST: one table of routes, from which validation, answers, limits and the OpenAPI document come."""
