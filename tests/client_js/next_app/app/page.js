export default function Page() { return "in"; }
