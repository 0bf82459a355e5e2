enum AgentShieldSeed {}
