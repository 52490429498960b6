"""Why a packet arrives, or does not: a walk from router to router, from the configuration and from the live kernel."""
