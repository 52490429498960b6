"""What a person sees of the network: states of resources, from the file and from the live kernel."""
