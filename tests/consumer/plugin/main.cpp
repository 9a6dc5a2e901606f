bool spends_within_its_budget();

int main() { return spends_within_its_budget() ? 0 : 1; }
