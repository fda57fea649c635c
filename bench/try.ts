import { choleskyInPlace, solveWithFactor, inverseSpd } from '../src/engine/reconstruction/cholesky.ts';
import { transposedProduct, product } from '../src/engine/runtime/matrix.ts';
for (const [n,m] of [[145,32],[577,64],[1153,128],[2305,256],[4609,512]] as const) {
  const k = n+50; const x=new Float64Array(k*n).map(()=>Math.random()-.5); const G=await transposedProduct(x,x,k,n,n);
  const B=new Float64Array(n*m).map(()=>Math.random()); const A=G.slice();
  let t=performance.now(); const L=await choleskyInPlace(A,n); const a=performance.now()-t; t=performance.now(); const W=await solveWithFactor(L,n,B.slice(),m); const b=performance.now()-t;
  const R=await product(G,W,n,n,m); let e=0; for(let i=0;i<R.length;i++) e=Math.max(e,Math.abs(R[i]!-B[i]!));
  console.log(n,m,'chol',a.toFixed(1),'solve',b.toFixed(1),'err',e);
}
